"""One file for each version of the tables; a file that has been released is never changed."""
