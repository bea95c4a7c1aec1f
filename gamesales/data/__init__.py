"""Tables of titles: their contract, their files (CSV and Parquet), and the screening of their rows."""
