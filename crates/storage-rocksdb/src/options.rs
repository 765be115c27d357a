//! How RocksDB is set up, and why.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, LogLevel,
    WriteBufferManager,
};
use storage::Family;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// What a user may want to tune.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Memory for everything, in bytes; at least 16 MiB are taken. A third, at most 256 MiB, may be unflushed
    /// writes (half as much again while a flush is slow), which also bounds how much log a restart replays. The rest
    /// caches blocks, indexes and filters, which make room for unflushed writes as those grow.
    pub memory_bytes: usize,
    /// Threads that compact, at least 1. One more flushes.
    pub compaction_threads: u16,
    /// Most that flushes and compactions may write per second, in bytes, so that they leave the disk to the raft log.
    /// `None` is no limit.
    pub background_bytes_per_second: Option<u64>,
    /// Files held open at most. Also bounds how much is read at start: a large store does not open each file first.
    pub open_files_max: u16,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            memory_bytes: 96 * MIB,
            compaction_threads: 2,
            background_bytes_per_second: Some(256 * MIB as u64),
            open_files_max: 512,
        }
    }
}

/// The budget and what shares it.
pub struct Setup {
    pub cache: Cache,
    write_buffers: WriteBufferManager,
    write_buffers_bytes: usize,
    /// Whether new files get indexes and filters in blocks of 4 KiB, in place of one block each of some 200 KiB.
    partitioned: bool,
    options: Options,
}

/// Indexes and filters take some 0.75 % of the data. While they fit into half of the budget, whole ones are best: a
/// point read of a cached block takes 4 µs with them and 7 µs with partitioned ones (examples/store_throughput). In a store
/// larger than this many budgets, each miss would read a whole filter for one key.
const PARTITIONED_FROM_BUDGETS: u64 = 64;

/// Flushed files after which a family whose rows come in no order is compacted; RocksDB's own default is 4.
const YOUNG_FILES: i32 = 8;

/// In how large pieces flushes and compactions write, and how often their limit is shared out. An fsync of the raft log
/// waits for what the disk was given before it. With a mebibyte and RocksDB's default of 100 ms, 25 MiB came at once.
const WRITE_OUT_BYTES: u64 = 256 * KIB as u64;
const SHARE_MICROSECONDS: i64 = 5_000;

/// Files of the log do not overlap and are moved down as they are. Once nobody has a snapshot from before a file,
/// RocksDB would rewrite it after all, in case a snapshot has kept removed rows alive in it: never, by this, so that a
/// value is written once. Rows that somebody's snapshot held go with the next compaction there, or with `reclaim`.
const MOVED_AND_LEFT_ALONE: &str = "bottommost_file_compaction_delay=4294967295";

impl Setup {
    /// For a store whose files take `files_bytes` at present.
    pub fn new(options: Options, files_bytes: u64) -> Setup {
        let memory = options.memory_bytes.max(16 * MIB);
        let write_buffers_bytes = (memory / 3).min(256 * MIB);
        // 0: blocks of all sizes and the charges of memtables share the cache, there is no typical entry.
        let cache = Cache::new_hyper_clock_cache(memory, 0);
        // Without stalls of its own: a writer waits where RocksDB has too many memtables to flush, not before.
        let write_buffers = WriteBufferManager::new_write_buffer_manager_with_cache(
            write_buffers_bytes,
            false,
            cache.clone(),
        );
        Setup {
            cache,
            write_buffers,
            write_buffers_bytes,
            partitioned: files_bytes / PARTITIONED_FROM_BUDGETS > memory as u64,
            options,
        }
    }

    /// Settings of the whole store.
    pub fn store(&self) -> rocksdb::Options {
        let mut o = rocksdb::Options::default();
        o.create_if_missing(true);
        o.create_missing_column_families(true);
        o.set_paranoid_checks(true);
        // The reason why the store can live without a log: all families always come back from the same moment.
        o.set_atomic_flush(true);
        o.set_write_buffer_manager(&self.write_buffers);
        // There is one writer.
        o.set_allow_concurrent_memtable_write(false);
        o.set_enable_write_thread_adaptive_yield(false);

        o.set_max_background_jobs(i32::from(self.options.compaction_threads.max(1)) + 1);
        if let Some(rate) = self.options.background_bytes_per_second {
            let rate = i64::try_from(rate.max(MIB as u64)).unwrap_or(i64::MAX);
            // Not the one that tunes itself: after some idle seconds it is down to a twentieth, and takes minutes to
            // come back, in which writers wait for flushes.
            o.set_ratelimiter(rate, SHARE_MICROSECONDS, 10);
        }
        // Written out steadily: a large write-back at once would hold up the raft log's fsync.
        o.set_writable_file_max_buffer_size(WRITE_OUT_BYTES);
        o.set_bytes_per_sync(WRITE_OUT_BYTES);
        o.set_compaction_readahead_size(MIB);

        o.set_max_open_files(i32::from(self.options.open_files_max.max(64)));
        o.set_skip_stats_update_on_db_open(true);
        // Rolled over when it is this large; replayed at start.
        o.set_max_manifest_file_size(16 * MIB);
        o.set_manifest_preallocation_size(256 * KIB);
        o.set_log_level(LogLevel::Warn);
        o.set_max_log_file_size(4 * MIB);
        o.set_keep_log_file_num(4);
        o.set_stats_dump_period_sec(0);
        o.set_stats_persist_period_sec(0);
        o
    }

    /// All families, and RocksDB's own `default`, which it insists on and which stays empty.
    ///
    /// Fails if RocksDB does not know an option by its name.
    pub fn families(&self) -> Result<Vec<ColumnFamilyDescriptor>, rocksdb::Error> {
        let ours = Family::ALL.into_iter().map(|family| (family.name(), family));
        ours.chain([(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, Family::Meta)])
            .map(|(name, family)| Ok(ColumnFamilyDescriptor::new(name, self.family(family)?)))
            .collect()
    }

    fn family(&self, family: Family) -> Result<rocksdb::Options, rocksdb::Error> {
        let mut o = rocksdb::Options::default();
        o.set_compression_type(DBCompressionType::Lz4);
        // The budget of all memtables together decides when to flush. A limit per family would let the smallest one
        // decide: `meta` is rewritten with every batch, and each of its flushes takes all others along.
        o.set_write_buffer_size(self.write_buffers_bytes);
        // One being filled, one being flushed, one to spare before a writer must wait.
        o.set_max_write_buffer_number(3);
        o.set_arena_block_size(if is_large(family) { 512 * KIB } else { 32 * KIB });
        o.set_target_file_size_base(if is_large(family) { 16 * MIB } else { 8 * MIB } as u64);
        // Where the file system discards what is deleted, an fsync waits for it: 17 ms for 64 MiB. That size only where
        // there are three levels: twenty gigabytes are some thousand files.
        o.set_target_file_size_multiplier(2);
        if family == Family::Current {
            // Whether a put creates or replaces is a point read before each write.
            o.set_memtable_prefix_bloom_ratio(0.02);
            o.set_memtable_whole_key_filtering(true);
        }
        if is_large(family) {
            // Files that are half tombstones are compacted soon: what mvcc compaction removed gives its space back.
            o.add_compact_on_deletion_collector_factory(16 * KIB, 8 * KIB, 0.5);
        }
        if matches!(family, Family::Current | Family::Versions) {
            // Each such compaction rewrites most of the level below: half as many write a quarter less per put, for two
            // or three young files more that a range merges.
            o.set_level_zero_file_num_compaction_trigger(YOUNG_FILES);
            o.set_level_zero_slowdown_writes_trigger(YOUNG_FILES + 20);
            o.set_level_zero_stop_writes_trigger(YOUNG_FILES + 36);
        }
        o.set_block_based_table_factory(&self.blocks(family));
        if family == Family::Log {
            return o.get_options_from_string(MOVED_AND_LEFT_ALONE);
        }
        Ok(o)
    }

    fn blocks(&self, family: Family) -> BlockBasedOptions {
        let mut b = BlockBasedOptions::default();
        b.set_block_cache(&self.cache);
        // Indexes and filters live within the budget.
        b.set_cache_index_and_filter_blocks(true);
        b.set_cache_index_and_filter_blocks_with_high_priority(true);
        b.set_pin_l0_filter_and_index_blocks_in_cache(true);
        if is_large(family) && self.partitioned {
            b.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
            b.set_partition_filters(true);
            b.set_metadata_block_size(4 * KIB);
            b.set_pin_top_level_index_and_filter(true);
        }
        match family {
            Family::Current => {
                b.set_block_size(8 * KIB);
                b.set_bloom_filter(10.0, false);
            }
            // Read in sequence, or by keys that are known to be there: a filter would only cost.
            Family::Log | Family::Versions => b.set_block_size(16 * KIB),
            _ => {}
        }
        b
    }
}

/// Families that grow with the data.
fn is_large(family: Family) -> bool {
    matches!(family, Family::Current | Family::Log | Family::Versions)
}
