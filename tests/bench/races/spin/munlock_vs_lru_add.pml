/* munlock on one CPU of a page that was just faulted in on another, where it waits in the vector for its LRU. */
#define TASKS 2
#define AT_FIRST_LOCKED 1
#define AT_FIRST_MAPPED 1
#define AT_FIRST_LRU 0
#define AT_FIRST_WAITING 1
#include "page.pml"

active proctype locker() {
	bit isolated, evictable, others, queued;
	munlock_walk();
	done++
}

active proctype lru_add() {
	bit evictable;
	process_new();
	done++
}
