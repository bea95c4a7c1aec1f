"""What a table of titles is: the contract, reading and writing tables, and a simulated store."""
