"""Studies: jobs that are named by what they ask for, and the executor that hands work to processes."""
