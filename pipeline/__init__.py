"""What the textbook says about recurrent networks, tested on real film reviews."""
