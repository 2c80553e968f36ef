"""What people ask for beside the stages."""
