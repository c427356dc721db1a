-- A registry wants no requests for a while.
-- KEYS: BUDGET
-- ARGV: pause_ms
-- Returns nothing.
local BUDGET = unpack(KEYS)
local pause_ms = unpack(ARGV)
local before = redis.call('HGET', BUDGET, 'paused_until')
local until_ms = math.max(tonumber(before or '0'), now_ms() + pause_ms)
redis.call('HSET', BUDGET, 'paused_until', ms(until_ms))
redis.call('PEXPIRE', BUDGET, ms(until_ms - now_ms() + 86400000))
