/*
 * The task of mlock() and of munlock(): mlock_vma_pages_range() of Linux 6.1, or of PATCH_07 which is the same, and what
 * it would be without a guard.
 * VM_IO is stored together with VM_LOCKED, before the walk, and cleared after it; lru_add_drain() is called before and after.
 */
#ifdef PATCH_07
#include "patch_07.pml"
#else
#include "linux_6_1.pml"
#endif

/* The walk is told by vm_flags what to do, or where those come last by what they will be. */
inline lock_or_unlock() {
	if
	:: locking -> mlock_folio()
	:: else -> munlock_page()
	fi
}

inline walk_entry(m) {
	if
	:: MAPPED_IN(m) -> lock_or_unlock()
#ifdef LINUX_6_12
	:: mm[m].entry[which] == TABLE -> lock_or_unlock() /* folio_mlock_step(): once for all parts, which are in range */
#endif
	:: else /* also of a TABLE in 6.1: PageTransCompound() */
	fi
}

#ifdef TWO_PAGES
inline walk_entries(m) { which = 0; walk_entry(m); which = 1; walk_entry(m); which = 0 }
#else
inline walk_entries(m) { walk_entry(m) }
#endif

inline walk_under_ptl(m) {
	take(mm[m].ptl);
	walk_entries(m);
	drop(mm[m].ptl)
}

#ifdef HUGE
/* A table of entries has a lock of its own, which nobody else takes; in the explorer there is one lock. */
inline mlock_pte_range(m) {
	if
	:: in_full && mm[m].entry[which] == TABLE -> walk_entries(m)
	:: else -> walk_under_ptl(m) /* pmd_trans_huge_lock() looks again */
	fi
}
#else
inline mlock_pte_range(m) { walk_under_ptl(m) }
#endif

inline store_flags(m, locked, io) { d_step { mm[m].vm_locked = locked; mm[m].vm_io = io; tell() } }

inline mlock_vma_pages_range(m) {
	take(mm[m].mmap_lock);
	if
	:: without == FLAGS_FIRST
	:: else ->
		if
		:: locking && without == VM_IO_GUARD -> store_flags(m, 1, 0)
		:: locking && without == ONE_STORE -> store_flags(m, 1, 0); store_flags(m, 1, 1)
		:: locking && without != VM_IO_GUARD && without != ONE_STORE -> store_flags(m, 1, 1)
		:: !locking -> store_flags(m, 0, 0)
		fi
	fi;
	if
	:: without == DRAINS
	:: else -> lru_add_drain()
	fi;
	mlock_pte_range(m);
	if
	:: without == DRAINS
	:: else -> lru_add_drain()
	fi;
	store_flags(m, locking, 0);
	drop(mm[m].mmap_lock)
}

/* mlock() if `lock`, then munlock() if `unlock`, of the VMA of one address space, on one CPU. */
proctype change_locks(byte on_cpu; byte m; bit lock; bit unlock) {
	LOCALS;
	bit locking;
	c = on_cpu;
	do
	:: lock -> lock = 0; locking = 1; mlock_vma_pages_range(m)
	:: !lock && unlock -> unlock = 0; locking = 0; mlock_vma_pages_range(m)
	:: else -> break
	od;
	done++
}
