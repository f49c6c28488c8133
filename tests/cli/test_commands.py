"""Commands that set up and look: what they take, what they refuse, what they never show."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import moica_gateway.cli.setup
from moica_gateway.cli import main
from moica_gateway.testing.pki import MemoryPki

AES_KEY = base64.b64encode(hashlib.sha256(b"of a test").digest()).decode()
PROVIDER = ("tenant", "service-provider", "t1", "--sp-service-id", "1")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of the simulator environment, with an anchor."""
    (tmp_path / "root.pem").write_bytes(MemoryPki().root_pem)
    path = tmp_path / "gateway.toml"
    path.write_text(
        f"""
environment = "simulator"
data_dir = "{tmp_path / "data"}"
[upstream]
base_url = "http://127.0.0.1:1"
[trust]
anchors = ["{tmp_path / "root.pem"}"]
"""
    )
    return path


@pytest.fixture
def ready(config: Path) -> Path:
    """The same, initialised, with one tenant."""
    assert run(config, "init").exit_code == 0
    assert run(config, "tenant", "add", "t1", "--name", "示範").exit_code == 0
    return config


def run(config: Path, *arguments: str, stdin: str | bytes = "") -> Result:
    """One command."""
    return CliRunner().invoke(main, ["--config", str(config), *arguments], input=stdin)


def test_version_and_help_need_no_settings() -> None:
    """Somebody who has none yet asks for these first."""
    runner = CliRunner(env={"MOICA_GATEWAY_CONFIG": "/nowhere.toml"})
    assert runner.invoke(main, ["version"]).exit_code == 0
    assert "serve" in runner.invoke(main, ["--help"]).output


def test_trouble_is_one_line_on_stderr_in_both_languages(tmp_path: Path) -> None:
    """With the setting, the file, and status 2."""
    path = tmp_path / "gateway.toml"
    path.write_text("prot = 8700\n")
    result = run(path, "check")
    assert result.exit_code == 2
    for command in (("init",), ("serve",), ("tenant", "list")):
        result = run(path, *command)
        assert result.exit_code == 2
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        for words in ("`prot`", str(path), "did you mean `port`?", "系統管理者"):
            assert words in line


@pytest.mark.parametrize("command", ["init", "check"])
def test_config_may_stand_behind_the_command_too(ready: Path, command: str) -> None:
    """And wins over the one before it."""
    arguments = ["--config", "/nowhere.toml", command, "--config", str(ready)]
    result = CliRunner().invoke(main, arguments)
    assert "nowhere" not in result.output
    assert result.output.startswith({"init": "ready: ", "check": "ok      settings"}[command])


def test_what_is_no_trouble_of_the_set_up_ends_with_1(ready: Path) -> None:
    """A transaction that is not there."""
    result = run(ready, "transaction", "show", "t1", "txn_x")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)


def test_a_defect_shows_no_traceback_and_nothing_unredacted(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged as a line, with its place."""

    def breaks(_url: str, _master_key: object) -> None:
        raise LookupError("person A123456789")

    monkeypatch.setattr(moica_gateway.cli.setup, "migrate", breaks)
    result = run(config, "init")
    assert result.exit_code == 1
    assert "A123456789" not in result.output
    assert "\nTraceback" not in result.output
    assert "cli.failed" in result.output
    assert "LookupError" in result.output


# -- init ----------------------------------------------------------------------------------------


def test_init_makes_what_only_its_owner_may_read(config: Path) -> None:
    """And leaves no half-written key beside it."""
    data = config.parent / "data"
    assert run(config, "init").exit_code == 0
    assert data.stat().st_mode & 0o077 == 0
    assert (data / "master.key").stat().st_mode & 0o777 == 0o600
    assert (data / "gateway.db").stat().st_mode & 0o077 == 0
    assert [p.name for p in data.iterdir() if p.name.startswith("master.key")] == ["master.key"]


def test_init_again_changes_no_key(config: Path) -> None:
    """Everything stored hangs on it."""
    run(config, "init")
    before = (config.parent / "data" / "master.key").read_bytes()
    assert run(config, "init").exit_code == 0
    assert (config.parent / "data" / "master.key").read_bytes() == before


def test_init_makes_no_new_key_for_a_database_that_has_lost_its_own(ready: Path) -> None:
    """It would open nothing, and make the loss look like a success."""
    key = ready.parent / "data" / "master.key"
    key.unlink()
    result = run(ready, "init")
    assert result.exit_code == 2
    assert "restore" in result.output
    assert not key.exists()


def test_init_says_where_the_folder_cannot_be_made(config: Path) -> None:
    """A file stands in its place."""
    (config.parent / "data").write_text("")
    result = run(config, "init")
    assert result.exit_code == 2
    assert "data_dir" in result.output


# -- check ---------------------------------------------------------------------------------------


def test_check_goes_on_after_a_failure_and_says_each(config: Path) -> None:
    """So that everything wrong is told at once."""
    (config.parent / "root.pem").unlink()
    result = run(config, "check")
    lines = result.output.splitlines()
    assert result.exit_code == 2
    assert [line.split()[:2] for line in lines[:4]] == [
        ["ok", "settings:"],
        ["failed", "master"],
        ["failed", "trust:"],
        ["failed", "database:"],
    ]
    assert "relaxed environment=simulator" in lines


def test_check_fails_for_a_tenant_that_cannot_sign(ready: Path) -> None:
    """And is content once its service provider is set."""
    result = run(ready, "check")
    assert result.exit_code == 2
    assert "failed  tenant t1: no service provider is set" in result.output
    run(ready, *PROVIDER, "--aes-key-file", "-", stdin=AES_KEY)
    assert run(ready, "check").exit_code == 0


def test_check_writes_no_log_lines_between_its_own(ready: Path) -> None:
    """It speaks to a person."""
    assert "{" not in run(ready, "check").output


# -- tenants, keys, webhooks -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("a\nb", "--name", "x"),
        ("", "--name", "x"),
        ("Upper", "--name", "x"),
        ("a/b", "--name", "x"),
        ("x" * 65, "--name", "x"),
        ("ok", "--name", "a\tb"),
        ("ok", "--name", ""),
        ("ok", "--name", "x", "--time-limit", "29"),
        ("ok", "--name", "x", "--time-limit-max", "601"),
        ("ok", "--name", "x", "--time-limit", "120", "--time-limit-max", "60"),
        ("ok", "--name", "x", "--brand", "x" * 21),
        ("ok", "--name", "x", "--brand", "a\u202eb"),
        ("ok", "--name", "x", "--return-origin", "https://a.test/path"),
        ("ok", "--name", "x", "--return-origin", "javascript:alert(1)"),
        ("ok", "--name", "x", "--return-origin", "https://u@a.test"),
        ("ok", "--name", "x", "--return-origin", "https://[::1"),
    ],
)
def test_a_tenant_of_another_form_is_refused(ready: Path, arguments: tuple[str, ...]) -> None:
    """Before anything is written."""
    assert run(ready, "tenant", "add", *arguments).exit_code == 2
    assert len(run(ready, "tenant", "list").output.splitlines()) == 1


def test_a_tenant_may_be_added_again(ready: Path) -> None:
    """Equal data changes nothing; the list shows it once."""
    added = ("tenant", "add", "t2", "--name", "乙", "--return-origin", "https://a.test:8443")
    for _ in range(2):
        assert run(ready, *added).exit_code == 0
    assert run(ready, "tenant", "list").output == "t1\t示範\t-\nt2\t乙\t-\n"


@pytest.mark.parametrize("source", ["stdin", "file", "environment"])
def test_the_aes_key_comes_from_file_stdin_or_environment(
    ready: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is shown nowhere."""
    (ready.parent / "aes").write_text(AES_KEY + "\n")
    monkeypatch.setenv("THE_AES_KEY", AES_KEY)
    given = {
        "stdin": ("--aes-key-file", "-"),
        "file": ("--aes-key-file", str(ready.parent / "aes")),
        "environment": ("--aes-key-env", "THE_AES_KEY"),
    }[source]
    result = run(ready, *PROVIDER, *given, stdin=AES_KEY)
    assert result.exit_code == 0
    assert AES_KEY not in result.output
    assert run(ready, "tenant", "list").output == "t1\t示範\t1\n"


@pytest.mark.parametrize(
    ("given", "stdin"),
    [
        ((), AES_KEY),
        (("--aes-key-file", "-", "--aes-key-env", "HOME"), AES_KEY),
        (("--aes-key-env", "NOT_SET_ANYWHERE"), ""),
        (("--aes-key-file", "-"), ""),
        (("--aes-key-file", "-"), b"\xff\xfe"),
        (("--aes-key-file", "-"), AES_KEY + "\n" + AES_KEY),
        (("--aes-key-file", "-"), "A" * 5000),
        (("--aes-key-file", "-"), AES_KEY[:-4]),
        (("--aes-key-file", "/nowhere/at/all"), ""),
    ],
)
def test_what_is_no_aes_key_is_refused_without_being_shown(
    ready: Path, given: tuple[str, ...], stdin: str | bytes
) -> None:
    """Status 2, and no service provider is set."""
    result = run(ready, *PROVIDER, *given, stdin=stdin)
    assert result.exit_code == 2
    assert AES_KEY[:20] not in result.output
    assert run(ready, "tenant", "list").output == "t1\t示範\t-\n"


def test_no_option_takes_a_secret_as_an_argument() -> None:
    """Every user of the machine can read a process's arguments."""
    options = {
        option
        for group in main.commands.values()
        for command in getattr(group, "commands", {"": group}).values()
        for parameter in command.params
        for option in parameter.opts
    }
    secret = {o for o in options if any(w in o for w in ("secret", "-key", "token", "password"))}
    assert secret == {
        "--aes-key-file",
        "--aes-key-env",
        "--key-id",
        "--key-file",
        "--public-key",
        "--secret-file",
    }


def test_a_given_key_and_the_flag_test_have_to_agree(ready: Path) -> None:
    """Else a live key would pass for one that only reaches the simulator."""
    live = "mgk_live_" + "k" * 43
    added = ("key", "add", "t1", "--name", "k", "--test", "--key-file", "-")
    result = run(ready, *added, stdin=live)
    assert result.exit_code == 2
    assert live not in result.output


def test_a_key_without_scopes_is_pointed_out(ready: Path) -> None:
    """On stderr, so that a script still reads the key alone."""
    result = run(ready, "key", "add", "t1", "--name", "k")
    assert result.stdout.startswith("mgk_live_")
    assert len(result.stdout.splitlines()) == 1
    assert "no scope" in result.stderr
    scoped = run(ready, "key", "add", "t1", "--name", "k", "--scope", "read", "--scope", "sign")
    assert scoped.stderr == ""
    assert "read,sign\tlive" in run(ready, "key", "list", "t1").output


def test_a_revoked_key_is_listed_as_such(ready: Path) -> None:
    """An unknown one is refused."""
    run(ready, "key", "add", "t1", "--name", "k", "--scope", "read", "--test")
    (line,) = run(ready, "key", "list", "t1").output.splitlines()
    assert line.endswith("\ttest")
    assert run(ready, "key", "revoke", "t1", line.split("\t")[0]).exit_code == 0
    assert run(ready, "key", "list", "t1").output.endswith("\trevoked\n")
    assert run(ready, "key", "revoke", "t1", "key_x").exit_code == 1


def test_a_webhooks_secret_is_printed_once_and_only_if_it_was_made(
    ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A given one is not repeated; the authority's file is kept by its whole path."""
    made = run(ready, "webhook", "add", "t1", "https://a.test/hook").output
    assert made.startswith("whsec_")
    given = "whsec_" + AES_KEY
    monkeypatch.chdir(ready.parent)
    again = ("webhook", "add", "t1", "https://b.test/", "--secret-file", "-", "--ca-file")
    result = run(ready, *again, "root.pem", stdin=given)
    assert result.exit_code == 0
    assert given not in result.output
    listed = run(ready, "webhook", "list", "t1").output
    assert "https://a.test/hook\tenabled" in listed
    assert "whsec_" not in listed


def test_credentials_of_a_user_without_any_are_an_empty_list(ready: Path) -> None:
    """Nothing is printed, and that is no error."""
    result = run(ready, "credential", "list", "t1", "nobody")
    assert (result.exit_code, result.output) == (0, "")
