"""One check of data a file. They know nothing of each other; each is named in the table of plug-ins."""
