"""The textbook's claims about recurrent networks, tested on real film reviews."""
