-- Begins an update's next wave, pauses the update, or ends it.
-- KEYS: UPDATE, UPDATES, HANDED_OUT, LATE
-- ARGV: image, update, wave, state, next_state, reason, next_wave
--   update: its number; wave and state: those that it is in; reason: a sentence of the caller's, or ''; next_wave: '1' to
--   go on with the next wave.
-- Returns 1, or 0 when somebody else did so before or it is not over after all.
local UPDATE, UPDATES, HANDED_OUT, LATE = unpack(KEYS)
local image, update, wave, state, next_state, reason, next_wave = unpack(ARGV)
local is_number, is_state, is_wave, created, built, failed, dropped = unpack(redis.call('HMGET', UPDATE,
  'number', 'state', 'wave', 'created', 'built', 'failed', 'dropped'))
if is_number ~= update or (is_wave or '1') ~= wave or is_state ~= state then return 0 end
if (created or 0) - (built or 0) - (failed or 0) - (dropped or 0) > 0 or redis.call('ZCARD', HANDED_OUT) > 0 then
  return 0
end
if next_state == 'done' and redis.call('ZCARD', LATE) > 0 then return 0 end
redis.call('HSET', UPDATE, 'state', next_state, 'reason', reason)
if reason == '' then redis.call('HDEL', UPDATE, 'reason') end
if next_wave == '1' then
  redis.call('HSET', UPDATE, 'wave', wave + 1, 'wave_created', 0, 'wave_failed', 0)
end
if next_state == 'running' then
  redis.call('ZADD', UPDATES, ms(now_ms()), image)
else
  redis.call('ZREM', UPDATES, image)
end
return 1
