-- A registry wants no requests for a while. KEYS 1: its budget. ARGV 1: for how long (ms).
local before = redis.call('HGET', KEYS[1], 'paused_until')
local until_ms = math.max(tonumber(before or '0'), now_ms() + ARGV[1])
redis.call('HSET', KEYS[1], 'paused_until', ms(until_ms))
redis.call('PEXPIRE', KEYS[1], ms(until_ms - now_ms() + 86400000))
