/* A CPU drains its vectors. */
proctype drain(byte on_cpu) {
	LOCALS;
	c = on_cpu;
	lru_add_drain();
	done++
}
