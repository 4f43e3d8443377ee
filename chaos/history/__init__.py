"""The run folder on disk: all that acting hands to judging."""
