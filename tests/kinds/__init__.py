"""One module for each kind of fault that was found once: a search for its sites, and the list that it must give."""
