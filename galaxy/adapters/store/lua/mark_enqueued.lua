-- Remembers that the version was enqueued just now.
redis.call('HSET', VERSION, 'enqueued_at', ms(now_ms()))
