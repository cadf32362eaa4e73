"""One module for each revision, oldest first. Revisions only add: replicas of two builds run side by side."""
