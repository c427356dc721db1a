-- ARGV 1: member, 2: token, 3: reason, 4: max attempts, 5: retry in (ms), 6: grace (ms), 7: timings of the steps.
-- Returns {'retrying', attempt, retry in (ms)}, {'build_failed', attempt, 0} or {'lost', state};
-- a repeated call of the same holder gets the same answer.
local state, token, retry_at, attempt = unpack(
  redis.call('HMGET', VERSION, 'state', 'token', 'retry_at', 'attempt'))
if token == ARGV[2] and state == 'retrying' then
  return {state, tonumber(attempt), math.max(0, tonumber(retry_at) - now_ms())}
end
if token == ARGV[2] and state == 'build_failed' then return {state, tonumber(attempt), 0} end
local lost = lost_to(ARGV[2])
if lost then return {'lost', lost} end
redis.call('HSET', VERSION, 'steps', ARGV[7])
-- Its message has been used up. Should nobody claim it when it is due, it is enqueued again, however full the queue is;
-- an automatic version at once, because for that no message waits.
redis.call('HSET', VERSION, 'enqueued_at', 0)
local grace = redis.call('HGET', VERSION, 'automatic') == '1' and 0 or tonumber(ARGV[6])
return end_attempt(ARGV[1], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), grace)
