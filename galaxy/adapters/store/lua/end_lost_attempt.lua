-- Ends an attempt whose lease ran out. ARGV 1: member, 2: reason, 3: max attempts, 4: grace (ms), 5: id of this call.
-- Returns {'retrying', attempt, 0}, {'build_failed', attempt, 0}, or {'live', state} when there is nothing to end;
-- a repeated call is answered like the first.
local state, lease_until, attempt, ended_by = unpack(
  redis.call('HMGET', VERSION, 'state', 'lease_until', 'attempt', 'ended_by'))
if ended_by == ARGV[5] and (state == 'retrying' or state == 'build_failed') then
  return {state, tonumber(attempt), 0}
end
if state ~= 'building' or tonumber(lease_until) > now_ms() then return {'live', state or 'missing'} end
-- If its holder lives after all, its token is worth nothing any more.
redis.call('HINCRBY', VERSION, 'token', 1)
redis.call('HSET', VERSION, 'ended_by', ARGV[5])
return end_attempt(ARGV[1], ARGV[2], tonumber(ARGV[3]), 0, tonumber(ARGV[4]))
