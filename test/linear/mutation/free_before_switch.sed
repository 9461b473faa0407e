# A cell that is let go before it is out of its bucket.
s/^\t\tif (!publish(/\t\tif (at.present)\n\t\t\tname_let_go(\&room, \&at.path[at.depth]);\n&/
