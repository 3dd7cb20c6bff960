"""How the drop-in does it; nothing in here is for scripts."""
