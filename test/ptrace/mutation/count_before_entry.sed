# An undo entry that counts before it is written.
s/^\tmemcpy(s->undo + used, &e, sizeof(e));/\tatom_store_release(s->used, used + need);\n&/
