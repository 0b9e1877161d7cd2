"""Report → page, text, JSON. Takes no decision."""
