# A cell that is let go before its entry is emptied.
/^void record_redo/,/^}/ s/^\tmailbox_pass(/\tlet_go(shm, r->ref, r->outcome);\n&/
