"""A reference document system (公文系統), written as a vendor would write it.

It has its own database, sign-in and pages, and knows of the gateway only what a vendor knows: the
SDK (`moica_gateway.GatewayClient`, `moica_gateway.webhooks`, `moica_gateway.relay`) and the widget.
What its users see follows ``flows.md`` word for word.

It deliberately is no records-management system: no attachments, no 會辦 branches in parallel, no
歸檔. It shows where the gateway fits into one.
"""
