/* mlock, then munlock unless HELD, while migration maps the page again: the destination is on an evictable LRU. */
#define TASKS 2
#define AT_FIRST_LOCKED 0
#define AT_FIRST_MAPPED 0
#define AT_FIRST_LRU 1
#define AT_FIRST_WAITING 0
#include "page.pml"

active proctype locker() {
	bit isolated, evictable, others, queued;
	mlock_walk();
#ifndef HELD
	munlock_walk();
#endif
	done++
}

active proctype migration() {
	bit isolated, evictable, counted;
	take(ptl);
	d_step { mapped = 1; TELL }
	counted = (vm_locked && !vm_io); /* the hook of page_add_anon_rmap() */
	if
	:: counted -> d_step { pg_mlocked = 1; TELL } waiting++
	:: else
	fi;
#ifndef NO_MIGRATION_DRAIN
	if
	:: vm_locked -> /* looked at once more */
		if
		:: counted -> process_mlock()
		:: else
		fi
	:: else
	fi;
#endif
	d_step { ptl = 0; TELL }
	done++
}
