# The binaries and nothing else. scripts/image builds them into dist/ first: RocksDB is compiled once per machine,
# not once per image.
FROM debian:bookworm-slim
COPY dist/quorate dist/quoratectl dist/quorateutl /usr/local/bin/
# Under etcd's names, too: what calls etcd, etcdctl or etcdutl in this image finds them.
RUN ln -s quorate /usr/local/bin/etcd && ln -s quoratectl /usr/local/bin/etcdctl \
    && ln -s quorateutl /usr/local/bin/etcdutl && mkdir -p /var/lib/quorate
ENV ETCD_DATA_DIR=/var/lib/quorate
VOLUME /var/lib/quorate
EXPOSE 2379 2380
ENTRYPOINT ["/usr/local/bin/quorate"]
