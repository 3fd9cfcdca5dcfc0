"""Which calls walk what nobody touched: calls and layouts as data, scanned on real kernels, laws fitted to what they cost."""
