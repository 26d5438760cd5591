"""Lists over a folder of audio, one file for each trainer that reads one."""
