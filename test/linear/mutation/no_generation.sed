# A CAS that compares everything but the generation.
s/^\treturn atom_cas_seq(word, &old, control_pack(next))/\tuint64_t now = atom_load_acquire(word);\n\n\treturn (now ^ old) >> 32 == 0 \&\& atom_cas(word, \&now, control_pack(next))/
