"""``nines try``: a Compose project of somebody else's, from its file to a first verdict."""
