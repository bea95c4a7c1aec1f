"""Results in a Delta Lake table: its columns, its files, its transactions, and reading it.

The extra ``lake`` installs what this package needs. Nothing here loads unless a result goes to, or comes from, a table.
"""
