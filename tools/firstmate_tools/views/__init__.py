"""What tools show of objects: pure functions from plain objects to words, columns and relations. No reads here."""
