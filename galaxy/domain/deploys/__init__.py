"""What a deploy says, and what is wrong with it."""
