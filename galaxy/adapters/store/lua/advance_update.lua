-- Begins an update's next wave, pauses it, or ends it. KEYS 1: update, 2: updates, 3: handed out, 4: late.
-- ARGV 1: number of the update, 2: its wave, 3: state it is in, 4: its next state, 5: reason or '', 6: base image,
-- 7: '1' to go on with the next wave.
-- Returns 1, or 0 when somebody else did so before or it is not over after all.
local number, state, wave, created, built, failed, dropped = unpack(redis.call('HMGET', KEYS[1],
  'number', 'state', 'wave', 'created', 'built', 'failed', 'dropped'))
if number ~= ARGV[1] or (wave or '1') ~= ARGV[2] or state ~= ARGV[3] then return 0 end
if (created or 0) - (built or 0) - (failed or 0) - (dropped or 0) > 0 or redis.call('ZCARD', KEYS[3]) > 0 then
  return 0
end
if ARGV[4] == 'done' and redis.call('ZCARD', KEYS[4]) > 0 then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[4], 'reason', ARGV[5])
if ARGV[5] == '' then redis.call('HDEL', KEYS[1], 'reason') end
if ARGV[7] == '1' then
  redis.call('HSET', KEYS[1], 'wave', wave and wave + 1 or 2, 'wave_created', 0, 'wave_failed', 0)
end
if ARGV[4] == 'running' then
  redis.call('ZADD', KEYS[2], ms(now_ms()), ARGV[6])
else
  redis.call('ZREM', KEYS[2], ARGV[6])
end
return 1
