# A transaction that anybody may begin.
/^int control_begin/,/^}/ s/c->owner != me ||/me == 0 ||/
