"""The risk profile, and the order commands that it limits."""
