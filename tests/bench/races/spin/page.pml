/*
 * One page of order 0: its flags, its references, where it is mapped, and which per-CPU batches hold it.  Each race includes
 * this, sets in its init where everything begins, and starts its tasks.
 *
 * An atomic step is one store that others can see, or one look at what others store.  Some of the kernel's stores are one step
 * here, as nobody can tell in between:
 * - a CPU's batch with the references that it gets, and, when it is emptied, with the last thing that its processing does:
 *   nobody looks into the batches of another CPU;
 * - an entry of a page table with the mapcount and the reference that it gets: entries are looked at under the page table lock;
 * - PG_mlocked with NR_MLOCK, which no path looks at;
 * - PG_unevictable with mlock_count, which is only looked at by who has cleared PG_lru and has the LRU lock;
 * - all that freeing the page does, since nobody can find it any more.
 *
 * Each race is run as the kernel has it, and without one of its guards.  It is also run twice: `in_full`, and with some steps
 * as the explorer has them, which makes other states: reclaim is simpler (reclaim.pml), a page is isolated in one step under
 * the LRU lock, and mlock() of 5.10 drains at its end.
 *
 * After each step that changes anything "S WITHOUT IN_FULL ..." tells the state, "B WITHOUT IN_FULL NAME" each invariant that
 * is broken, "N ..." what is only worth telling; when all tasks are done "E ..." tells the end.  Only printf() reads some of
 * the variables: spin must be run with -o1 -o2 -o3, or it takes them for needless.
 */
#define VM_IO_GUARD 1
#define ONE_STORE 2
#define FLAGS_FIRST 3
#define DRAINS 4
#define MIGRATION_DRAIN 5
#define ALL_SPECIAL 6
byte without; /* one of these, or 0 */
bit in_full;

#define NONE 0 /* entries of the page tables */
#define MAPPED 1
#define MIGRATION 2
#define SWAP 3

#define LRU_PAGE 1 /* tags in the mlock batch: mlock_folio() */
#define NEW_PAGE 2 /* mlock_new_page() */
#define MUNLOCK 3 /* munlock_page(), which the kernel gives no tag */

typedef Mm { bit mmap_lock; bit ptl; bit vm_locked; bit vm_io; byte entry } /* one VMA of one page, with its page table */
typedef Cpu { byte adds; byte nr; byte tag[3] } /* how often lru_add has the page; the mlock batch */

Mm mm[2];
Cpu cpu[3];
bit pg_lru, pg_unevictable, pg_mlocked;
byte mlock_count; /* 0 while PG_unevictable is clear: it lies over lru.prev */
byte refs, nr_mlock;
bit cached; /* in the page cache or the swap cache, which has a reference */
bit lru_lock;
byte done; /* tasks that are */

#define MAPPED_IN(m) (mm[m].entry == MAPPED)
#define LOCKED_IN(m) (MAPPED_IN(m) && mm[m].vm_locked)
#define MAPPINGS (MAPPED_IN(0) + MAPPED_IN(1))
#define LOCKS (LOCKED_IN(0) + LOCKED_IN(1))
#define AT_WORK (mm[0].mmap_lock || mm[1].mmap_lock || mm[0].ptl || mm[1].ptl)
#define QUEUED_IN(c) (cpu[c].adds + cpu[c].nr)
#define QUEUED (QUEUED_IN(0) + QUEUED_IN(1) + QUEUED_IN(2))
#define MUNLOCKS_IN(c) ((cpu[c].tag[0] == MUNLOCK) + (cpu[c].tag[1] == MUNLOCK) + (cpu[c].tag[2] == MUNLOCK))
#define MUNLOCKS (MUNLOCKS_IN(0) + MUNLOCKS_IN(1) + MUNLOCKS_IN(2))

#define VMA(m) mm[m].vm_locked, mm[m].vm_io, mm[m].entry
#define BATCHES(c) cpu[c].adds, cpu[c].tag[0], cpu[c].tag[1], cpu[c].tag[2]
#define IF(condition, kind, text) if :: (condition) -> printf(kind); printf("%d %d ", without, in_full); printf(text) :: else fi

inline tell_state() {
	printf("%d %d ", without, in_full);
	printf("%d%d%d %d%d%d ", VMA(0), VMA(1));
	printf("%d%d%d %d %d ", pg_lru, pg_unevictable, pg_mlocked, mlock_count, cached);
	printf("%d %d ", lru_lock, refs);
	printf("%d%d%d%d %d%d%d%d\n", BATCHES(0), BATCHES(1))
}

/* What is told of every state. */
inline tell() {
	printf("S ");
	tell_state();
	IF(refs < MAPPINGS + cached + QUEUED, "B ", "reference missing\n");
	IF(MAPPINGS > 0 && !AT_WORK && mlock_count > LOCKS + MUNLOCKS, "B ", "count too high\n");
	IF(!lru_lock && nr_mlock != pg_mlocked, "B ", "nr_mlock wrong\n");
	IF(refs > 0 && pg_mlocked && MAPPINGS == 0 && QUEUED == 0 && !AT_WORK, "N ", "mlocked, not mapped\n")
}

/* What is told when all tasks are done. */
inline tell_end() {
	printf("E ");
	tell_state();
	if
	:: refs > 0 ->
		IF(QUEUED > 0 && LOCKS > 0, "B ", "reference left\n");
		IF(QUEUED == 0 && !pg_lru, "B ", "off its LRU\n");
		IF(pg_mlocked && LOCKS == 0, "B ", "stranded, mlocked\n");
		IF(pg_unevictable && !pg_mlocked && LOCKS == 0, "B ", "stranded, not mlocked\n");
		IF(QUEUED > 0 && LOCKS == 0, "N ", "in a vector\n");
		IF(LOCKS > 0 && !pg_mlocked, "N ", "undercount\n")
	:: else
	fi
}

/* The beginning of an init. */
inline choose_in_full() {
	if
	:: in_full = 0
	:: in_full = 1
	fi
}

/* The end of an init: all tasks are done. */
inline all_done(tasks) { atomic { done == tasks; tell_end() } }

inline take(lock) { atomic { !lock -> lock = 1; tell() } }
inline drop(lock) { d_step { lock = 0; tell() } }

/* __page_cache_release(), free_pages_prepare().  To be used in a d_step, or an atomic. */
inline free_page() {
	pg_lru = 0;
	pg_unevictable = 0;
	mlock_count = 0;
	nr_mlock = nr_mlock - pg_mlocked;
	pg_mlocked = 0
}

/* Who drops the last reference frees the page, under the LRU lock if it is on an LRU.  Tasks declare `freeing` as a bit. */
inline put_page() {
	d_step {
		refs--;
		freeing = (refs == 0 && pg_lru);
		if
		:: refs == 0 && !pg_lru -> free_page()
		:: else
		fi;
		tell()
	}
	if
	:: freeing -> atomic { !lru_lock -> free_page(); tell() }
	:: else
	fi
}
