"""What can go wrong, split by who can act on it.

`PlatformError` is a business code of the TW FidO platform: it goes to the relying system in the
envelope, or to the phone. `SimulatorError` is a wrong use of the simulator itself (control API,
settings): it says what was expected, what came and what to do.
"""

__all__ = ["ConfigurationError", "PlatformError", "SimulatorError"]


class PlatformError(Exception):
    """The platform refuses, with one of the codes of `error-codes.csv`.

    Attributes:
        code: The system code, e.g. `SPTKT_OVD`, never prefixed.
        explanation: Words for whoever debugs; never an ID number, key or certificate.
    """

    def __init__(self, code: str, explanation: str = "") -> None:
        super().__init__(f"{code}: {explanation}" if explanation else code)
        self.code = code
        self.explanation = explanation


class SimulatorError(Exception):
    """The simulator was used wrongly. **Action:** do what `detail` says and call again.

    Attributes:
        code: Stable, snake_case.
        detail: What was expected, what came, what to do.
        status: The HTTP status under which the control API answers it.
    """

    def __init__(self, code: str, detail: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status


class ConfigurationError(SimulatorError):
    """The simulator cannot start as set up. **Action:** correct the setting that is named."""
