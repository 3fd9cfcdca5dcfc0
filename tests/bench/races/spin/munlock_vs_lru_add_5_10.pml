/* munlock under Linux 5.10 of a page that was just faulted in on another CPU, where it waits in the lru_add pagevec. */
#include "linux_5_10.pml"

#include "drain.pml"

init {
	choose_in_full();
	d_step {
		mm[0].vm_locked = 1;
		mm[0].entry[which] = MAPPED;
		pg_mlocked = 1;
		nr_mlock = 1;
		cpu[1].adds[which] = 1;
		refs = 2; /* of the entry and of the pagevec */
		tell()
	}
	atomic { run change_locks(0, 0); run drain(1) }
	all_done(2)
}
