"""What is read from and written to the database: plain functions over a connection, a noun a file.

Each is run by `document_system.database.Database.run`, alone or composed, inside one transaction.
None of them calls the gateway or reads a clock.
"""
