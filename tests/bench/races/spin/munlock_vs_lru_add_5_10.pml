/*
 * munlock under Linux 5.10, whose pagevec is the task's own, of a page that was just faulted in on another CPU, where it waits
 * in the lru_add pagevec.  There is no count; PG_mlocked is cleared under the LRU lock, and PG_lru is set before PG_mlocked is
 * looked at.
 */
#include "page.pml"

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
proctype drain(byte c) {
	bit freeing;
	if
	:: cpu[c].adds ->
		take(lru_lock);
		lru_add_fn();
		d_step { lru_lock = 0; cpu[c].adds = 0; tell() }
		put_page() /* release_pages() */
	:: else
	fi;
	done++
}

/* munlock_vma_pages_range() of one page. */
proctype munlock() {
	bit found, isolated, freeing;
	take(mm[0].mmap_lock);
	d_step { mm[0].vm_locked = 0; tell() }
	take(mm[0].ptl); /* follow_page(FOLL_GET) */
	if
	:: MAPPED_IN(0) -> d_step { refs++; tell() } found = 1
	:: else
	fi;
	drop(mm[0].ptl);
	if
	:: found ->
		/* __munlock_pagevec(), phase 1 */
		take(lru_lock);
		if
		:: pg_mlocked ->
			d_step { pg_mlocked = 0; nr_mlock--; tell() }
			if
			:: pg_lru -> d_step { pg_lru = 0; isolated = 1; tell() } /* __munlock_isolate_lru_page() */
			:: else
			fi
		:: else
		fi;
		drop(lru_lock);
		if
		:: isolated -> /* phases 2 and 3: mapped once and evictable, so __putback_lru_fast() */
			assert(!pg_mlocked);
			d_step { pg_unevictable = 0; tell() } /* __putback_lru_fast_prepare(), under the page lock */
			take(lru_lock);
			lru_add_fn();
			drop(lru_lock)
		:: else /* the pagevec for putback: pagevec_release(); this CPU's own pagevec is empty */
		fi;
		put_page()
	:: else
	fi;
	drop(mm[0].mmap_lock);
	done++
}

init {
	choose_in_full();
	d_step {
		mm[0].vm_locked = 1;
		mm[0].entry = MAPPED;
		pg_mlocked = 1;
		nr_mlock = 1;
		cpu[1].adds = 1;
		refs = 2; /* of the entry and of the pagevec */
		tell()
	}
	atomic { run munlock(); run drain(1) }
	all_done(2)
}
