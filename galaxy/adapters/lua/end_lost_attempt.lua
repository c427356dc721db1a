-- Ends an attempt whose lease ran out. ARGV 1: member, 2: reason, 3: max attempts, 4: grace (ms).
-- Returns {'retrying', attempt, 0}, {'build_failed', attempt, 0}, or {'live', state} when there is nothing to end.
local state, lease_until = unpack(redis.call('HMGET', VERSION, 'state', 'lease_until'))
if state ~= 'building' or tonumber(lease_until) > now_ms() then return {'live', state or 'missing'} end
-- If its holder lives after all, its token is worth nothing any more.
redis.call('HINCRBY', VERSION, 'token', 1)
return end_attempt(ARGV[1], ARGV[2], tonumber(ARGV[3]), 0, tonumber(ARGV[4]))
