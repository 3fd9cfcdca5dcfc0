/*
 * One page of order 0 under Linux 6.1, as the facts of its mm/mlock.c and mm/swap.c have it: flags, mlock_count, and what
 * processing an entry of a CPU's vector does to the page. Included by the races, which say where everything begins:
 * AT_FIRST_LOCKED (VM_LOCKED and PG_mlocked), AT_FIRST_MAPPED, AT_FIRST_LRU, AT_FIRST_WAITING, and how many TASKS there are.
 *
 * After each store that others can see, and where a lock goes, "S ..." tells the state: VM_LOCKED, VM_IO, whether an entry maps the
 * page, PG_lru, PG_unevictable, PG_mlocked, mlock_count (0 while PG_unevictable is clear); "B NAME 1" that an invariant is broken.
 * When all tasks are done "E ..." tells the state and how many entries wait in vectors.
 *
 * Only printf() reads some of the variables: spin must be run with -o1 -o2 -o3, or it takes them for needless.
 */
bit vm_locked = AT_FIRST_LOCKED, vm_io, mapped = AT_FIRST_MAPPED
bit pg_lru = AT_FIRST_LRU, pg_unevictable, pg_mlocked = AT_FIRST_LOCKED
byte mlock_count
bit lru_lock, ptl, mmap_lock
byte waiting = AT_FIRST_WAITING /* entries in vectors for the page */
byte unlocks /* those of them that unlock */
byte done /* tasks that are */

#define STATE vm_locked, vm_io, mapped, pg_lru, pg_unevictable, pg_mlocked, mlock_count
#define COUNT_TOO_HIGH (mapped && !mmap_lock && !ptl && mlock_count > vm_locked + unlocks)
#define TELL printf("S %d%d%d%d%d%d%d\nB count too high %d\n", STATE, COUNT_TOO_HIGH)

active proctype end()
{
	atomic {
		done == TASKS;
		printf("E %d%d%d%d%d%d%d %d\n", STATE, waiting);
		printf("B stranded, mlocked %d\n", pg_mlocked && !vm_locked);
		printf("B stranded, not mlocked %d\n", pg_unevictable && !pg_mlocked && !vm_locked);
		printf("B reference left %d\n", waiting > 0 && vm_locked);
		printf("B off its LRU %d\n", waiting == 0 && !pg_lru)
	}
}

inline take(lock) { atomic { !lock -> lock = 1; TELL } }

/* An entry of mlock_folio(). */
inline process_mlock() {
	d_step { isolated = pg_lru; pg_lru = 0; TELL }
	if
	:: isolated ->
		take(lru_lock);
		evictable = !pg_mlocked;
		if
		:: evictable ->
			d_step {
				if
				:: pg_unevictable -> pg_unevictable = 0; mlock_count = 0
				:: else
				fi;
				TELL
			}
		:: else ->
			d_step {
				if
				:: pg_unevictable -> mlock_count = mlock_count + pg_mlocked
				:: else -> pg_unevictable = 1; mlock_count = pg_mlocked
				fi;
				TELL
			}
		fi;
		d_step { pg_lru = 1; TELL }
		lru_lock = 0
	:: else
	fi;
	waiting--
}

/* An entry of mlock_new_page(): the page is on no LRU. */
inline process_new() {
	take(lru_lock);
	evictable = !pg_mlocked;
	d_step {
		if
		:: evictable
		:: else -> pg_unevictable = 1; mlock_count = pg_mlocked
		fi;
		TELL
	}
	d_step { pg_lru = 1; TELL }
	lru_lock = 0;
	waiting--
}

/* An entry of munlock_page(). */
inline process_munlock() {
	d_step { isolated = pg_lru; pg_lru = 0; TELL }
	others = 0;
	if
	:: isolated ->
		take(lru_lock);
		d_step {
			if
			:: pg_unevictable && mlock_count > 0 -> mlock_count--; others = (mlock_count > 0)
			:: else
			fi;
			TELL
		}
	:: else
	fi;
	if
	:: !others ->
		d_step { pg_mlocked = 0; TELL }
		if
		:: isolated ->
			evictable = !pg_mlocked;
			if
			:: evictable ->
				d_step {
					if
					:: pg_unevictable -> pg_unevictable = 0; mlock_count = 0
					:: else
					fi;
					TELL
				}
			:: else
			fi
		:: else
		fi
	:: else
	fi;
	if
	:: isolated -> d_step { pg_lru = 1; TELL } lru_lock = 0
	:: else
	fi;
	d_step { waiting--; unlocks--; TELL }
}

/* mlock_vma_pages_range() of mlock and of munlock: flags, walk, drain, flags. */
inline mlock_walk() {
	take(mmap_lock);
#ifndef FLAGS_LAST
#ifdef NO_VM_IO
	d_step { vm_locked = 1; TELL }
#else
#ifdef TWO_STORES
	d_step { vm_locked = 1; TELL }
#endif
	d_step { vm_locked = 1; vm_io = 1; TELL }
#endif
#endif
	take(ptl);
	queued = 0;
	if
	:: mapped -> d_step { pg_mlocked = 1; TELL } d_step { queued = 1; waiting++ }
	:: else
	fi;
	d_step { ptl = 0; TELL }
#ifndef NO_DRAINS
	if
	:: queued -> process_mlock()
	:: else
	fi;
#endif
	d_step { vm_locked = 1; vm_io = 0; TELL }
	d_step { mmap_lock = 0; TELL }
}

inline munlock_walk() {
	take(mmap_lock);
#ifndef FLAGS_LAST
	d_step { vm_locked = 0; TELL }
#endif
	take(ptl);
	queued = 0;
	if
	:: mapped -> d_step { queued = 1; waiting++; unlocks++ }
	:: else
	fi;
	d_step { ptl = 0; TELL }
#ifndef NO_DRAINS
	if
	:: queued -> process_munlock()
	:: else
	fi;
#endif
	d_step { vm_locked = 0; TELL }
	d_step { mmap_lock = 0; TELL }
}
