"""One provider's models behind one shape. The same code serves every provider; which one is configuration."""
