"""What each mechanism of a replicated system buys, as experiments: predicted and observed side by side (docs/what-each-buys.md)."""
