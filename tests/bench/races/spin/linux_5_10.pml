/*
 * What Linux 5.10 does to the page: mm/mlock.c, mm/swap.c, mm/vmscan.c, mm/gup.c.  There is no count, and no mlock batch:
 * munlock's pagevec is the task's own.  PG_lru is set before PG_mlocked is looked at.  Tasks declare what these need: LOCALS.
 */
#include "page.pml"

#define LOCALS bit isolated, changed, found, freeing; byte c

bit old_page_lock; /* that of the page from which the page is migrated */

/* __pagevec_lru_add_fn(), under the LRU lock, with smp_mb() between the store and the look. */
inline lru_add_fn() {
	d_step { pg_unevictable = 0; tell() } /* TestClearPageUnevictable() */
	d_step { pg_lru = 1; tell() }
	if
	:: pg_mlocked -> d_step { pg_unevictable = 1; tell() } /* !page_evictable() */
	:: else
	fi
}

/* lru_add_drain(): pagevec_lru_move_fn(). */
inline lru_add_drain() {
	if
	:: cpu[c].adds[which] ->
		take(lru_lock);
		lru_add_fn();
		d_step { lru_lock = 0; cpu[c].adds[which] = 0; tell() }
		put_page() /* release_pages() */
	:: else
	fi
}

/* isolate_lru_page(): leaves `isolated` set if that went well; one step in the explorer. */
inline isolate_lru_page() {
	isolated = 0;
	if
	:: pg_lru && in_full ->
		take(lru_lock);
		if
		:: pg_lru -> d_step { refs++; pg_lru = 0; isolated = 1; tell() } /* a second look */
		:: else
		fi;
		drop(lru_lock)
	:: pg_lru && !in_full ->
		atomic {
			!lru_lock ->
			isolated = pg_lru;
			pg_lru = 0;
			refs = refs + isolated;
			tell()
		}
	:: else
	fi
}

/* putback_lru_page(): lru_cache_add(), and the reference of the isolation goes. */
inline putback_lru_page() {
	d_step { refs++; cpu[c].adds[which]++; tell() }
	put_page()
}

/* What mlock_vma_page() and clear_page_mlock() have in common: who changes PG_mlocked has the page put on its other LRU. */
inline change_mlocked(to) {
	d_step {
		changed = (pg_mlocked != to);
		nr_mlock = nr_mlock + to - pg_mlocked;
		pg_mlocked = to;
		tell()
	}
	if
	:: changed ->
		isolate_lru_page();
		if
		:: isolated -> putback_lru_page()
		:: else
		fi
	:: else
	fi
}

inline mlock_vma_page() { change_mlocked(1) }
inline clear_page_mlock() { change_mlocked(0) }

inline store_locked(locked) { d_step { mm[0].vm_locked = locked; tell() } }

/* __munlock_pagevec() of one page, to which the task has a reference. */
inline munlock_pagevec() {
	isolated = 0;
	take(lru_lock); /* phase 1 */
	d_step { changed = pg_mlocked; pg_mlocked = 0; nr_mlock = nr_mlock - changed; tell() } /* TestClearPageMlocked() */
	if
	:: changed ->
		if
		:: pg_lru -> d_step { pg_lru = 0; isolated = 1; tell() } /* __munlock_isolate_lru_page() */
		:: else
		fi
	:: else
	fi;
	drop(lru_lock);
	if
	:: isolated -> /* phases 2 and 3: mapped once and evictable, so __putback_lru_fast() */
		take(page_lock);
		assert(!pg_mlocked);
		d_step { pg_unevictable = 0; tell() } /* __putback_lru_fast_prepare() */
		drop(page_lock);
		take(lru_lock);
		lru_add_fn();
		drop(lru_lock)
	:: else -> lru_add_drain() /* the pagevec for putback: pagevec_release() */
	fi;
	put_page()
}

/* munlock_vma_pages_range() of one page. */
inline munlock() {
	take(mm[0].mmap_lock);
	store_locked(0);
	take(mm[0].ptl); /* follow_page(FOLL_GET) */
	found = 0;
	if
	:: MAPPED_IN(0) -> d_step { refs++; tell() } found = 1
	:: else
	fi;
	drop(mm[0].ptl);
	if
	:: found -> munlock_pagevec()
	:: else
	fi;
	drop(mm[0].mmap_lock)
}

/* mlock(): the flag, and populate under a mmap_lock taken anew, which waits for a migration; nothing comes back from swap. */
inline mlock() {
	take(mm[0].mmap_lock);
	store_locked(1);
	drop(mm[0].mmap_lock);
	take(mm[0].mmap_lock);
	do
	:: mm[0].entry[which] == MIGRATION -> mm[0].entry[which] != MIGRATION && !old_page_lock /* migration_entry_wait() */
	:: else -> break
	od;
	take(mm[0].ptl); /* follow_page_pte(FOLL_MLOCK) */
	if
	:: MAPPED_IN(0) ->
		atomic { found = !page_lock; page_lock = 1 } /* trylock_page() */
		if
		:: found ->
			lru_add_drain();
			mlock_vma_page();
			page_lock = 0
		:: else
		fi
	:: else
	fi;
	drop(mm[0].ptl);
	drop(mm[0].mmap_lock);
	if
	:: in_full
	:: else -> lru_add_drain() /* in the explorer */
	fi
}

/* mlock() if `lock`, then munlock(), on one CPU. */
proctype change_locks(byte on_cpu; bit lock) {
	LOCALS;
	c = on_cpu;
	if
	:: lock -> mlock()
	:: else
	fi;
	munlock();
	done++
}
