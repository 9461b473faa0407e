# A process that is counted as having a name only when it has it.
/^static int bind_name(/,/^}/ {
	s/^\tatom_add_release(&s->names, 1);//
	s/^\t\tatom_add_relaxed(&s->names, (uint32_t)-1);/\t\treturn rc;\n\tatom_add_release(\&s->names, 1);/
}
