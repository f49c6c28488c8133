"""The simulated government CA: hierarchy, holder certificates, revocation.

Every certificate bears `OU=NOT FOR PRODUCTION`. It issues signing certificates of mobile
citizens only, and answers by CRL and OCSP; it has no delegated responder and no TSA.
"""
