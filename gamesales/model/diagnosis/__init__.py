"""What is behind a version's errors: luck, noise, kinds of titles, columns, and titles that are not what they seem."""
