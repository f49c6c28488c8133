"""The simulated phones: authenticator, signing key, app, and a holder who may act by itself.

Private keys are made here and stay here. There is no camera, no NFC, no operating system: a scan
takes the text that stands in the QR code, and user verification always succeeds.
"""
